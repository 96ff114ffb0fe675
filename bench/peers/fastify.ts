/** A bare Fastify route that validates a session request with zod and answers an identifier. */
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { answer } from '../peer.ts';

const app = Fastify().withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);
app.post('/api/v1/local/session', { schema: { body: SessionRequest } }, async (request) => ({
  sessionId: '01890a5d-ac96-774b-bcce-b302099a8057',
  namespace: request.body.namespaceProvider.type,
}));

answer({
  async start(): Promise<number> {
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    return Number(new URL(address).port);
  },
  end: () => undefined,
});
