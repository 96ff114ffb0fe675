/** What an unexpected error says, in one text. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
