/**
 * Two machines as far as the network goes: two network namespaces with a cable between them, which can be cut. Needs Linux, `ip` and
 * the right to make namespaces.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

/** How a cable is cut. `down`: the interface knows it. `silent`: what is sent goes nowhere, and nobody is told. */
export type Cut = 'down' | 'silent';

/** The same in both, since each is alone in its network. */
export const INTERFACE = 'tls0';

const ip = (...args: string[]) =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

export class TwoNetworks {
  /** Of the two machines. */
  readonly addresses = ['10.213.7.1', '10.213.7.2'] as const;
  private readonly names: readonly [string, string];
  private readonly removeAtExit = () => this.remove();

  /** @throws where this machine does not let us */
  constructor() {
    this.names = [`tls-${process.pid}-0`, `tls-${process.pid}-1`];
    // Namespaces outlive the process that made them.
    process.once('exit', this.removeAtExit);
    try {
      for (const name of this.names) ip('netns', 'add', name);
      const [first, second] = this.names;
      ip(
        'link',
        'add',
        INTERFACE,
        'netns',
        first,
        'type',
        'veth',
        'peer',
        'name',
        INTERFACE,
        'netns',
        second,
      );
      for (const [i, name] of this.names.entries()) {
        ip('-n', name, 'link', 'set', 'lo', 'up');
        ip('-n', name, 'address', 'add', `${this.addresses[i]}/24`, 'dev', INTERFACE);
        ip('-n', name, 'link', 'set', INTERFACE, 'up');
      }
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Starts a program on one of the machines. */
  start(
    machine: number,
    command: string,
    args: readonly string[],
    { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
  ): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.names[machine]!, command, ...args], {
      cwd,
      env: { ...process.env, ...env },
    });
  }

  cut(how: Cut): void {
    if (how === 'down') ip('-n', this.names[1], 'link', 'set', INTERFACE, 'down');
    // To an interface that nobody has.
    else for (const [i, name] of this.names.entries()) ip('-n', name, ...this.neighbour('replace', i));
  }

  mend(how: Cut): void {
    if (how === 'down') ip('-n', this.names[1], 'link', 'set', INTERFACE, 'up');
    else for (const [i, name] of this.names.entries()) ip('-n', name, ...this.neighbour('delete', i));
  }

  remove(): void {
    process.off('exit', this.removeAtExit);
    for (const name of this.names)
      try {
        ip('netns', 'delete', name);
      } catch {
        // It was never made.
      }
  }

  private neighbour(action: 'replace' | 'delete', machine: number): string[] {
    const place = [this.addresses[1 - machine]!, 'dev', INTERFACE];
    return action === 'delete'
      ? ['neighbour', 'delete', ...place]
      : ['neighbour', 'replace', ...place, 'lladdr', '02:00:00:00:00:01', 'nud', 'permanent'];
  }
}

/** For the names of tests: why there can be none; empty where there can. */
export function cannotMakeNetworks(): string {
  try {
    new TwoNetworks().remove();
    return '';
  } catch (error) {
    const said = error instanceof Error ? error.message.trim().split('\n').at(-1) : error;
    return ` (skipped: no network namespaces here: ${said})`;
  }
}
