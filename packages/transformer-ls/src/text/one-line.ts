/** Names inside archives and messages about them may hold control characters, which a terminal would obey. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, 300);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
