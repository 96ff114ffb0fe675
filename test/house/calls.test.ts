/** Calls that have a better place in this house, each with the replacement that is wanted. */
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { filesBelow, parse } from './sources.ts';

interface Ban {
  readonly what: string;
  /** The text of a call's or a property's expression, or of `new X`. */
  readonly matches: RegExp;
  readonly applies: (file: string) => boolean;
  readonly instead: string;
}

const pure = (file: string): boolean => /^src\/(domain|ports|engine)\//.test(file);

/** Files that may read the environment, each with its reason. */
const READS_ENVIRONMENT: Readonly<Record<string, string>> = {
  'src/main.ts': 'hands the environment to the composition root and the terminal',
  'src/config.ts': 'configuration variables',
  'src/app.ts': 'the composition root',
};
const readsEnvironment = (file: string): boolean =>
  file in READS_ENVIRONMENT || file.startsWith('src/client/agent/') || file.startsWith('src/cli/');

const BANS: readonly Ban[] = [
  {
    what: 'reading the clock',
    matches: /^(Date\.now|performance\.now|process\.hrtime(\.bigint)?|new Date\(\))$/,
    applies: pure,
    instead: 'take `now` as a value (domain) or ask `host.now()` (engine)',
  },
  {
    what: 'a timer',
    matches: /^(setTimeout|setInterval|setImmediate)$/,
    applies: pure,
    instead: '`host.at(time, wake)`',
  },
  {
    what: 'randomness',
    matches: /^(randomUUID|crypto\.randomUUID|randomBytes|Math\.random|uuidv7)$/,
    applies: pure,
    instead: '`host.uuid()`, `host.secret()` or `host.random()`, handed in as a value',
  },
  {
    what: 'reading the environment',
    matches: /^process\.env$/,
    applies: (file) => file.startsWith('src/') && !readsEnvironment(file),
    instead: 'a value of the configuration, handed down by the composition root',
  },
  {
    what: 'writing to the console',
    matches: /^console\.\w+$/,
    applies: (file) => file.startsWith('src/') && !file.startsWith('src/cli/'),
    instead: 'the `Log` port (server) or the terminal of src/cli (commands)',
  },
  {
    what: 'sleeping in a test',
    matches: /^(new Promise\(\(?\w+\)? => setTimeout\(\w+, \d+\)\)|sleep|delay)$/,
    applies: (file) => file.startsWith('test/') && file.endsWith('.test.ts'),
    instead: 'waiting for the event or the condition (test/support)',
  },
];

/** Every ban a file breaks, as sentences. */
function broken(file: string, source: ts.SourceFile): readonly string[] {
  const bans = BANS.filter((ban) => ban.applies(file));
  if (bans.length === 0) return [];
  const found: string[] = [];
  const check = (node: ts.Node, text: string): void => {
    for (const ban of bans) {
      if (!ban.matches.test(text)) continue;
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      found.push(`${file}:${line} ${ban.what} (${text}); wanted here: ${ban.instead}.`);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      check(node, node.expression.getText());
    } else if (ts.isNewExpression(node)) {
      check(node, node.getText().replace(/\s+/g, ' '));
    } else if (ts.isPropertyAccessExpression(node) && node.getText() === 'process.env') {
      check(node, 'process.env');
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

describe('calls with a better place', () => {
  it('are not made', () => {
    const files = [...filesBelow('src', '.ts'), ...filesBelow('test', '.test.ts')];
    const found = files.flatMap((file) => broken(file, parse(file)));
    expect(found, found.join('\n')).toEqual([]);
  });

  it.each([
    ['src/domain/x.ts', 'const t = Date.now();', 'host.now()'],
    ['src/domain/x.ts', 'const t = new Date();', 'host.now()'],
    ['src/engine/x.ts', 'setTimeout(() => {}, 5);', 'host.at'],
    ['src/engine/x.ts', 'const id = randomUUID();', 'host.uuid()'],
    ['src/http/x.ts', 'const home = process.env.HOME;', 'configuration'],
    ['src/mcp/x.ts', "console.log('hello');", 'Log'],
    ['test/x.test.ts', 'await new Promise((done) => setTimeout(done, 100));', 'the condition'],
  ])('would be seen in %s: %s', (file, text, wanted) => {
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
    expect(broken(file, source).join('\n')).toContain(wanted);
  });
});
