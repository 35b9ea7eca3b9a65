import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The built command line, as the package installs it. */
const PROGRAM = fileURLToPath(new URL('../../.output/cli/volumectl.mjs', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

type Environment = Readonly<Record<string, string>>;

/** A volumectl that runs: in a pipe, with no environment but this one and PATH. */
export class Volumectl {
  out = '';
  error = '';
  readonly ended: Promise<Ended>;
  private readonly waiting = new Set<() => void>();

  private constructor(readonly child: ChildProcess) {
    const collect = (name: 'out' | 'error') => (chunk: Buffer) => {
      this[name] += chunk.toString('utf8');
      for (const look of this.waiting) look();
    };
    child.stdout?.on('data', collect('out'));
    child.stderr?.on('data', collect('error'));
    this.ended = once(child, 'close').then(([code]) => ({ code, out: this.out, error: this.error }));
  }

  static start(args: readonly string[], env: Environment = {}): Volumectl {
    return new Volumectl(
      spawn(process.execPath, [PROGRAM, ...args], {
        env: environment(env),
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  /** With an output that has no room left. */
  static ontoFullDisk(args: readonly string[], env: Environment = {}): Volumectl {
    const line = ['-c', 'exec "$@" >/dev/full', 'sh', process.execPath, PROGRAM, ...args];
    return new Volumectl(spawn('sh', line, { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /**
   * On a terminal of its own (script of util-linux); both outputs are the terminal. What is
   * typed comes from `typed`.
   */
  static onTerminal(args: readonly string[], env: Environment = {}): Volumectl {
    const line = [process.execPath, PROGRAM, ...args].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qefc', `stty cols 100; ${line}`, '/dev/null'], {
      env: environment({ TERM: 'xterm', ...env }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    return new Volumectl(child);
  }

  /** Resolves when the output (or the error output) has this in it. */
  async until(what: RegExp, stream: 'out' | 'error' = 'out'): Promise<void> {
    while (!what.test(this[stream])) {
      const ended = await Promise.race([
        this.ended.then(() => true),
        new Promise<false>((resolve) => {
          const look = () => {
            this.waiting.delete(look);
            resolve(false);
          };
          this.waiting.add(look);
        }),
      ]);
      if (ended && !what.test(this[stream]))
        throw new Error(`volumectl ended without ${what}:\n${this.out}\n${this.error}`);
    }
  }
}

/** Runs it in a pipe to its end. */
export function volumectl(args: readonly string[], env?: Environment): Promise<Ended> {
  return Volumectl.start(args, env).ended;
}

function environment(env: Environment): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    // Nothing of the machine that runs the test.
    VOLUMECTL_DEFAULTS: '/nonexistent',
    ...env,
  };
}

export function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));
}
