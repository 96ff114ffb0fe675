/** The tools the public conformance suite asks a server under test to have: what goes through our door, nothing of ours. */
import type { ExtraTool, ToolCall, ToolResult } from '../../src/mcp/tool.ts';

/** One red pixel, and no sound at all. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=';

const text = (said: string) => ({ type: 'text', text: said });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const resource = (mimeType: string, said: string) => ({
  type: 'resource',
  resource: { uri: 'test://embedded-resource', mimeType, text: said },
});

function tool(
  name: string,
  run: (call: ToolCall) => ToolResult | Promise<ToolResult>,
  inputSchema: Record<string, unknown> = { type: 'object', properties: {} },
): ExtraTool {
  return { listing: { name, description: name, inputSchema }, run: async (_args, call) => run(call) };
}

export const conformanceTools: readonly ExtraTool[] = [
  tool('test_simple_text', () => ({ content: [text('This is a simple text response for testing.')] })),
  tool('test_image_content', () => ({ content: [image] })),
  tool('test_audio_content', () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] })),
  tool('test_embedded_resource', () => ({
    content: [resource('text/plain', 'This is an embedded resource content.')],
  })),
  tool('test_multiple_content_types', () => ({
    content: [
      text('Multiple content types test:'),
      image,
      { ...resource('application/json', '{"test":"data","value":123}') },
    ],
  })),
  tool('test_error_handling', () => ({
    content: [text('This tool intentionally returns an error for testing')],
    isError: true,
  })),
  tool('test_tool_with_progress', async (call) => {
    for (const progress of [1, 50, 100]) {
      call.progress(progress, 100);
      // Notes and result are to arrive one by one.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return { content: [text('done')] };
  }),
  tool('test_logging_tool', () => ({ content: [text('nothing is logged')] })),
  tool('json_schema_2020_12_tool', () => ({ content: [text('done')] }), {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'addressDef',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  }),
];
