/** Reading definition and team files, and what their references name, with bounds and sentences. */
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readDefinition } from '../domain/definition-read.ts';
import type { AgentDefinition } from '../domain/definition.ts';
import type { AgentLookup } from '../domain/team-agent.ts';
import { parseTeam } from '../domain/team-read.ts';
import type { Team } from '../domain/team.ts';
import type { Fault } from '../ports/registry.ts';
import { faultOf, isSource, parseSource } from './source.ts';
import type { Source } from './source.ts';

/** No definition that keeps its limits is larger, nor anything it refers to. */
const MAX_BYTES = 16 * 1024 ** 2;
const URL_DEADLINE_MS = 10_000;

/** The bytes of a regular file; rejects with a sentence, `code` as the file system gave it. */
export async function readBytes(path: string): Promise<Buffer> {
  let file;
  try {
    file = await open(path, 'r');
    const facts = await file.stat();
    if (!facts.isFile()) throw new Error(`${path} is no regular file.`);
    if (facts.size > MAX_BYTES)
      throw new Error(`${path} is larger than ${MAX_BYTES / 1024 ** 2} MiB; nothing of that size is read.`);
    return await file.readFile();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const reason = code === undefined ? undefined : (REASONS[code] ?? `cannot be read (${code})`);
    throw reason === undefined ? cause : Object.assign(new Error(`${path} ${reason}.`), { code });
  } finally {
    await file?.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  EISDIR: 'is a folder',
};

/** The text of a definition or team file: UTF-8 without a byte order mark. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${path} is not UTF-8; save it in that encoding.`);
  }
}

async function fetchBytes(url: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  if (!/^https?:/i.test(url) || !URL.canParse(url)) throw new Error(`${url} is no http or https URL.`);
  const deadline = AbortSignal.timeout(URL_DEADLINE_MS);
  const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
  try {
    const answer = await fetch(url, { signal: until });
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}.`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > MAX_BYTES) throw new Error(`${url} is larger than ${MAX_BYTES / 1024 ** 2} MiB.`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (cause) {
    if (deadline.aborted)
      throw new Error(`${url} did not answer within ${URL_DEADLINE_MS / 1_000} s.`, { cause });
    if (cause instanceof Error && cause.message.startsWith(url)) throw cause;
    throw new Error(`${url} cannot be fetched; is it reachable from here?`, { cause });
  }
}

/** What came of reading a definition file. */
export interface DefinitionReading {
  readonly definition?: AgentDefinition;
  readonly faults: readonly Fault[];
  /** Absolute paths of the files it refers to, whether they were there or not. */
  readonly references: readonly string[];
  /** It refers to URLs, one of which could not be had: worth another try. */
  readonly retry: boolean;
}

/** `text` is the content of `file`; `folder` is its folder. */
export async function readDefinitionText(
  text: string,
  file: string,
  folder: string,
  signal?: AbortSignal,
): Promise<DefinitionReading> {
  const source = parseSource(text, file);
  if (!isSource(source)) return { faults: source.faults, references: [], retry: false };
  const references: string[] = [];
  let retry = false;
  const { definition, problems } = await readDefinition(source.value, {
    file(path) {
      const absolute = resolve(folder, path);
      references.push(absolute);
      return readBytes(absolute);
    },
    async url(url) {
      try {
        return await fetchBytes(url, signal);
      } catch (cause) {
        retry = true;
        throw cause;
      }
    },
  });
  return {
    ...(definition === undefined ? {} : { definition }),
    faults: problems.map((problem) => faultOf(problem, file, source)),
    references,
    retry,
  };
}

/** What came of reading a team file. */
export interface TeamFileReading {
  readonly team?: Team;
  readonly faults: readonly Fault[];
  /** What is wrong with it by the registry as it is now. */
  readonly check: () => readonly Fault[];
}

/** `text` is the content of `file` (absolute); `lookup` is asked when a request is made or checked. */
export function readTeamText(text: string, file: string, lookup: AgentLookup): TeamFileReading {
  const source: Source | { faults: readonly Fault[] } = parseSource(text, file);
  if (!isSource(source)) return { faults: source.faults, check: () => [] };
  const { team, problems, check } = parseTeam(source, file, lookup);
  return {
    ...(team === undefined ? {} : { team }),
    faults: problems.map((problem) => faultOf(problem, file, source)),
    check: () => check().map((problem) => faultOf(problem, file, source)),
  };
}
