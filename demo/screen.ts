const plain = !process.stdout.isTTY || process.env.NO_COLOR !== undefined;
const paint = (code: string) => (text: string) => (plain ? text : `\u001b[${code}m${text}\u001b[0m`);

export const bold = paint('1');
const dim = paint('2');
const green = paint('32');
const red = paint('31');

/** One line per thing done, with how long it took. */
export class Screen {
  private readonly rows: { what: string; ms: number }[] = [];

  title(text: string): void {
    process.stdout.write(`\n${bold(text)}\n`);
  }

  note(text: string): void {
    process.stdout.write(`  ${dim(text)}\n`);
  }

  /** Runs a step, prints it with its time, and remembers it for the summary. */
  async step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      const result = await work();
      const ms = performance.now() - begun;
      this.rows.push({ what, ms });
      process.stdout.write(`  ${green('✔')} ${what} ${dim(duration(ms))}\n`);
      return result;
    } catch (error) {
      process.stdout.write(`  ${red('✘')} ${what}\n`);
      throw error;
    }
  }

  summary(): void {
    const width = Math.max(...this.rows.map(({ what }) => what.length));
    this.title('Summary');
    for (const { what, ms } of this.rows)
      process.stdout.write(`  ${what.padEnd(width)}  ${duration(ms).padStart(9)}\n`);
    const total = this.rows.reduce((sum, { ms }) => sum + ms, 0);
    process.stdout.write(`  ${'total'.padEnd(width)}  ${duration(total).padStart(9)}\n`);
  }
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
