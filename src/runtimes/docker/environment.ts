/** The environment of an agent's container: what the launch says, with the server where this container reaches it. */
import { reachedAt } from '../../domain/launch.ts';
import type { LaunchSpec } from '../../domain/launch.ts';

/** What only this runtime knows, and the operator, may replace anything but what the launch says of the server. */
export function environmentOf(
  spec: LaunchSpec,
  address: string | undefined,
  more: Readonly<Record<string, string>>,
): Record<string, string> {
  // Without a network only the path of the URLs means something: they are dialled over the socket.
  const { environment } = reachedAt(spec, address ?? 'localhost');
  const ours = Object.entries(environment).filter(([name]) => name.startsWith('CORAL_'));
  return { ...environment, ...more, ...Object.fromEntries(ours) };
}
