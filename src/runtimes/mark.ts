/**
 * The mark: one environment variable that every process of an agent inherits, so that what a crash of the server
 * left behind is found by looking at the machine. It says whose the process is and nothing secret.
 */
import type { Labels } from '../domain/launch.ts';

export const MARK_VARIABLE = 'CORAL_MARK';

/** The labels as one word without blanks: `INSTANCE/SESSION/ATTEMPT/AGENT`, each part percent-encoded. */
export function markOf(labels: Labels): string {
  return [labels.instance, labels.session, String(labels.attempt), labels.agent]
    .map(encodeURIComponent)
    .join('/');
}

/** The labels in a mark, or nothing when it is not one of ours. */
export function labelsIn(mark: string): Labels | undefined {
  const parts = mark.split('/');
  if (parts.length !== 4) return undefined;
  try {
    const [instance, session, attempt, agent] = parts.map(decodeURIComponent) as [
      string,
      string,
      string,
      string,
    ];
    return /^\d+$/.test(attempt) ? { instance, session, agent, attempt: Number(attempt) } : undefined;
  } catch {
    return undefined;
  }
}
