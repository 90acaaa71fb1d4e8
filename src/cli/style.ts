/**
 * How text and figures are shown: bold and dim where a terminal shows it and NO_COLOR is not set,
 * numbers with units, lines that fit.
 *
 * @module
 */

const styled = Deno.stdout.isTerminal() && !Deno.noColor;

/** Bold text. */
export function bold(text: string): string {
  return styled ? `\x1b[1m${text}\x1b[22m` : text;
}

/** Dim text. */
export function dim(text: string): string {
  return styled ? `\x1b[2m${text}\x1b[22m` : text;
}

/** A number of seconds as people say it: `0.42 s`, `41 s`, `3:07`, `1:02:11`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A number of bytes with a unit: `812 B`, `1.3 kB`, `25 MB` (powers of 1024). */
export function byteSize(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1024 || unit === "GB") return `${short(value)} ${unit}`;
    value /= 1024;
  }
  return `${bytes} B`;
}

/** A count in few digits: `0.25`, `7.3`, `812`, `13 k`, `1.2 M`. */
export function short(value: number): string {
  if (value >= 1e6) return `${short(value / 1e6)} M`;
  if (value >= 1e4) return `${short(value / 1e3)} k`;
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** A number of things: `1 submit`, `157 dispatches`. */
export function count(value: number, one: string, many = `${one}s`): string {
  const text = short(value);
  return `${text} ${text === "1" ? one : many}`;
}

/** A share as a percentage: `97.3 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Columns of lines where there is no terminal, and the most where there is one. */
export const LINE = 100;

/** Columns that lines of standard output are to fit in. */
export function lineWidth(): number {
  // Some terminals do not know their width.
  const columns = Deno.stdout.isTerminal() && Deno.consoleSize().columns || LINE;
  return Math.min(columns, LINE);
}

/** Breaks a text into lines of at most `width` characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
