/** Every example that is shipped loads without a fault, as `coral validate` sees it. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { filesBelow, ROOT } from './sources.ts';

const EXAMPLES = ['coral.config.yaml', ...filesBelow('registry', '.yaml', '.yml', '.toml')];

describe('the examples', () => {
  it('are there', () => {
    expect(EXAMPLES).toContain('registry/teams/repo-report.yaml');
    expect(EXAMPLES.length).toBeGreaterThan(8);
  });

  it('have no faults, not even warnings', () => {
    const said = execFileSync(process.execPath, ['dist/main.js', 'validate', '--json', ...EXAMPLES], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect((JSON.parse(said) as { faults: readonly unknown[] }).faults).toEqual([]);
  });
});
