/** A copy of the journal while it is written to. Source: docs/wire.md, "Backup". */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { Refusal } from '../domain/refusal.ts';
import type { App, Door } from './door.ts';
import { errors } from './schemas.ts';

/** Adds the route. */
export function backupRoutes(app: App, { backup }: Door): void {
  app.route({
    method: 'GET',
    url: '/api/v1/backup',
    exposeHeadRoute: false,
    schema: {
      tags: ['server'],
      summary: 'The journal as it is at one moment, an SQLite file; secrets are not in it',
      response: { 200: z.string().describe('application/vnd.sqlite3'), ...errors(400, 503, 507) },
    },
    handler: async (_request, reply) => {
      if (backup === undefined)
        throw new Refusal(
          'not_supported',
          'This server keeps its journal in memory (journal.kind): there is nothing to copy.',
        );
      const copy = await backup();
      try {
        const { size } = await stat(copy.file);
        const stream = createReadStream(copy.file);
        stream.once('close', () => copy.remove());
        return await reply
          .type('application/vnd.sqlite3')
          .header('content-length', size)
          .header('content-disposition', 'attachment; filename="journal.db"')
          .send(stream as never);
      } catch (error) {
        copy.remove();
        throw error;
      }
    },
  });
}
