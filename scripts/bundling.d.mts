import type { BuildOptions } from 'esbuild';

/** Options of esbuild for the program and for what the benchmarks run. */
export const bundling: BuildOptions & { readonly alias: Readonly<Record<string, string>> };
