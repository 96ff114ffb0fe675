/** Session ids are UUIDs; as a folder's name nothing else is taken, wherever it comes from. */
export function isSessionName(session: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(session);
}
