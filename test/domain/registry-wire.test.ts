import { describe, expect, test } from 'vitest';
import type { RegistryAgent } from '../../src/domain/definition.ts';
import { readDefinition } from '../../src/domain/definition-read.ts';
import {
  RegistryAgentSource,
  RegistryAgentView,
  registryAgentView,
  registrySources,
} from '../../src/domain/wire/registry.ts';

async function agent(more: object, name = 'scout', version = '1.0.0'): Promise<RegistryAgent> {
  const none = (): Promise<never> => Promise.reject(new Error('none'));
  const { definition, problems } = await readDefinition(
    { edition: 4, agent: { name, version, description: 'Looks.' }, runtimes: { scripted: {} }, ...more },
    { file: none, url: none },
  );
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return { definition, source: { type: 'local' }, file: '/r/coral-agent.yaml', folder: '/r' };
}

describe('an agent of the registry', () => {
  test('has every field that clients rely on, also where its definition does not say it', async () => {
    const view = registryAgentView(await agent({}));
    expect(view).toEqual({
      registryAgent: {
        info: {
          capabilities: [],
          identifier: { name: 'scout', version: '1.0.0', registrySourceId: { type: 'local' } },
          description: 'Looks.',
          readme: '',
          summary: '',
          license: { type: 'spdx', expression: 'NOASSERTION' },
          keywords: [],
          links: {},
        },
        edition: 4,
        runtimes: { scripted: expect.objectContaining({ transport: 'streamable_http' }) },
        options: {},
        exportSettings: {},
      },
      restrictions: [{ type: 'local' }],
    });
  });

  test('options in camelCase: wide numbers exact, sizes with their unit', async () => {
    const view = registryAgentView(
      await agent({
        options: {
          A: { type: 'i64', default: 5, validation: { min: -9223372036854775808n, max: 9 } },
          B: { type: 'u64', default: 7, validation: { variants: ['7', '8'] } },
          C: { type: 'list[i64]', default: ['9007199254740993', 1] },
          D: { type: 'blob', validation: { min_size: 10, max_size: { size: 1.5, unit: 'MiB' } } },
          E: {
            type: 'string',
            base64: true,
            validation: { min_length: 1, regex: 'a' },
            display: { label: 'E' },
          },
        },
      }),
    );
    expect(view.registryAgent.options).toEqual({
      A: {
        type: 'i64',
        required: false,
        default: 5,
        transport: 'env',
        secret: false,
        validation: { min: '-9223372036854775808', max: 9 },
      },
      B: expect.objectContaining({ default: '7', validation: { variants: ['7', '8'] } }),
      C: expect.objectContaining({ default: ['9007199254740993', 1] }),
      D: expect.objectContaining({
        validation: { minSize: { size: 10, unit: 'B' }, maxSize: { size: 1536, unit: 'KiB' } },
      }),
      E: expect.objectContaining({
        base64: true,
        display: { label: 'E' },
        validation: { minLength: 1, regex: 'a' },
      }),
    });
  });

  test('nothing secret is shown', async () => {
    const view = registryAgentView(
      await agent({
        runtimes: {
          executable: { path: 'x', environment: { API_KEY: 'sesame1', MODE: 'fast' } },
          docker: { image: 'x', environment: { DB_PASSWORD: 'sesame2' } },
          prototype: {
            proxy: 'MAIN',
            tools: [
              { type: 'mcp_sse', url: 'http://a', auth: { type: 'bearer', token: 'sesame3' } },
              {
                type: 'mcp_sse',
                url: 'http://b',
                auth: { type: 'bearer', token: { type: 'option', name: 'A' } },
              },
            ],
          },
        },
        llm: { proxies: [{ name: 'MAIN', format: { type: 'OpenAI' } }] },
        options: {
          A: { type: 'string', secret: true, default: 'sesame4' },
          B: { type: 'list[string]', secret: true, default: ['sesame5'] },
          C: { type: 'u32', secret: true, default: 12345 },
          D: { type: 'blob', secret: true, default: 'c2VzYW1l' },
        },
      }),
    );
    expect(JSON.stringify(view)).not.toMatch(/sesame|12345|c2VzYW1l/);
    const { options, runtimes } = view.registryAgent;
    expect(options['A']?.default).toBe('***');
    expect(options['B']?.default).toEqual(['***']);
    expect(options['C']).not.toHaveProperty('default');
    expect(runtimes.executable?.environment).toEqual({ API_KEY: '***', MODE: 'fast' });
    expect(runtimes.prototype).toMatchObject({
      tools: [{}, { auth: { token: { type: 'option', name: 'A' } } }],
    });
    expect(RegistryAgentView.parse(view)).toEqual(view);
  });
});

test('all local agents are one source, versions newest first as the registry has them', async () => {
  const agents = [
    await agent({}, 'a', '2.0.0'),
    await agent({}, 'a', '1.0.0'),
    await agent({}, 'b', '1.0.0'),
  ];
  const sources = registrySources({ agents: () => agents, readAt: 0 });
  expect(sources).toEqual([
    {
      identifier: { type: 'local' },
      timestamp: '1970-01-01T00:00:00.000Z',
      name: 'local',
      agents: [
        { name: 'a', versions: ['2.0.0', '1.0.0'] },
        { name: 'b', versions: ['1.0.0'] },
      ],
    },
  ]);
  expect(RegistryAgentSource.array().parse(sources)).toEqual(sources);
});
