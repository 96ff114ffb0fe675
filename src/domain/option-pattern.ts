/**
 * The `regex` of an option's validation. Patterns in the wild are written for other engines too, so what all of them
 * share is understood: leading flags `(?i)`, `(?m)`, `(?s)`, and the anchors `\A`, `\z`, `\Z`. The whole value must match.
 */

/** The compiled pattern, or undefined when it is none that this server understands. */
export function compilePattern(pattern: string): RegExp | undefined {
  const inline = /^\(\?([ims]+)\)/.exec(pattern);
  const body = pattern
    .slice(inline?.[0].length ?? 0)
    .replace(/^\\A/, '')
    .replace(/(^|[^\\])\\[zZ]$/, '$1');
  // Not ^ and $: with the flag m they would stand for a line's ends.
  const whole = `(?<![^])(?:${body})(?![^])`;
  const flags = [...new Set(inline?.[1] ?? '')].join('');
  // Set notation first, then plain Unicode, then the lenient rules of old patterns such as `[\w-.]`.
  for (const mode of ['v', 'u', '']) {
    try {
      return new RegExp(whole, flags + mode);
    } catch {
      continue;
    }
  }
  return undefined;
}
