/** What a runtime needs to run one attempt of one agent. Made by the pure function in this file. */
import type { RuntimePlan } from './graph.ts';

/** Marks on everything we create, so that it can be found again without memory. Nothing secret. */
export interface Labels {
  /** The server's state folder has one instance id for life. */
  readonly instance: string;
  readonly session: string;
  readonly agent: string;
  readonly attempt: number;
}

/** An option with transport `fs`: each part becomes a file of its own; the variable holds their paths. */
export interface OptionFile {
  readonly variable: string;
  readonly parts: readonly Uint8Array[];
}

export interface LaunchSpec {
  readonly labels: Labels;
  readonly namespace: string;
  /** Complete: fixed variables, options with transport `env`, CORAL_*; what is inherited is the runtime's to add below these. */
  readonly environment: Readonly<Record<string, string>>;
  readonly files: readonly OptionFile[];
  /** Folder of the definition file. */
  readonly folder: string;
  readonly version: string;
  readonly how: RuntimePlan;
  /** Values that must never be shown: masked in anything kept of the agent's last words. */
  readonly secrets: readonly string[];
}
