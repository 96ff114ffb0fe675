/** What can be launched. Source: docs/wire.md, "Registry". */
import type { App, Door } from './server.ts';

export function registryRoutes(_app: App, _door: Door): void {}
