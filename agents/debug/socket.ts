/**
 * `socket`: keeps a place in the session for an agent that somebody runs outside. Prints the environment that agent
 * needs, as a line for those who may see secrets, and then does nothing, for ever. Option: ENVIRONMENT_FORMAT
 * (JETBRAINS: `K=V;K=V`, as run configurations take it).
 */
import { aborted } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

export default async function socket({ environment, signal, log }: FunctionContext): Promise<void> {
  const format = environment['ENVIRONMENT_FORMAT'] ?? 'JETBRAINS';
  if (format !== 'JETBRAINS') {
    throw new Error(`Option ENVIRONMENT_FORMAT knows JETBRAINS only, not "${format}".`);
  }
  const line = Object.entries(environment)
    .filter(([name]) => name !== 'ENVIRONMENT_FORMAT')
    .map(([name, value]) => `${name}=${value.replaceAll(';', '\\;').replaceAll('\n', '\\n')}`)
    .join(';');
  log(line, { sensitive: true });
  await aborted(signal);
}
