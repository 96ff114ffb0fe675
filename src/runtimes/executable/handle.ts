/** What names a process for ever: pid, start and boot; and its mark, which names what else belongs to it. */
import type { Labels } from '../../domain/launch.ts';
import type { Handle } from '../../ports/runtime.ts';
import { labelsIn, markOf } from '../mark.ts';

/** The handle of an executable, as it is journalled. */
export interface ProcessHandle extends Handle {
  readonly runtime: 'executable';
  readonly pid: number;
  /** As the process table spells it; empty when only descendants were found. */
  readonly start: string;
  readonly boot: string;
  readonly mark: string;
  readonly unlimited?: readonly string[];
}

/** The handle of a process whose mark is known. */
export function handleOf(pid: number, start: string, boot: string, mark: string): ProcessHandle {
  return { runtime: 'executable', id: `${pid}-${start}-${boot}`, pid, start, boot, mark };
}

/** The handle of a process that was started under these labels. `unlimited`: what it was to be kept from and is not, a sentence each. */
export function handleFor(
  pid: number,
  start: string,
  boot: string,
  labels: Labels,
  unlimited: readonly string[],
): ProcessHandle {
  const handle = handleOf(pid, start, boot, markOf(labels));
  return unlimited.length === 0 ? handle : { ...handle, unlimited };
}

/** A handle as it came back from the journal, or nothing when it is not one of this runtime's. */
export function readHandle(handle: Handle): (ProcessHandle & { readonly labels: Labels }) | undefined {
  const { pid, start, boot, mark } = handle;
  if (!Number.isSafeInteger(pid) || (pid as number) <= 1) return undefined;
  if (typeof start !== 'string' || typeof boot !== 'string' || typeof mark !== 'string') return undefined;
  const labels = labelsIn(mark);
  return labels && { ...handleOf(pid as number, start, boot, mark), labels };
}
