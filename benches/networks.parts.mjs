/**
 * Two machines as far as the network goes: two network namespaces with a cable between them, which can be cut or made slow. Needs Linux,
 * `ip` (for slow ones `tc` too) and the right to make namespaces.
 */
import { execFileSync, spawn } from 'node:child_process';

/** The same in both, since each is alone in its network. */
export const INTERFACE = 'tls0';

/** @param {string} command @param {string[]} args */
function quietly(command, ...args) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** @param {string[]} args */
const ip = (...args) => quietly('ip', ...args);

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

let made = 0;

export class TwoNetworks {
  /** Of the two machines. */
  addresses = /** @type {const} */ (['10.213.7.1', '10.213.7.2']);
  /** @type {readonly [string, string]} */
  #names;
  #removeAtExit = () => this.remove();
  /** @param {NodeJS.Signals} signal whose handler is gone when it comes again */
  #removeAtSignal = (signal) => {
    this.remove();
    process.kill(process.pid, signal);
  };

  /** @throws where this machine does not let us */
  constructor() {
    made += 1;
    this.#names = [`tls-${process.pid}-${made}a`, `tls-${process.pid}-${made}b`];
    // Namespaces outlive the process that made them.
    process.once('exit', this.#removeAtExit);
    for (const signal of SIGNALS) process.once(signal, this.#removeAtSignal);
    try {
      this.#make();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  #make() {
    for (const name of this.#names) ip('netns', 'add', name);
    const [first, second] = this.#names;
    ip('link', 'add', INTERFACE, 'netns', first, 'type', 'veth', 'peer', 'name', INTERFACE, 'netns', second);
    for (const [i, name] of this.#names.entries()) {
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'address', 'add', `${this.addresses[i]}/24`, 'dev', INTERFACE);
      ip('-n', name, 'link', 'set', INTERFACE, 'up');
    }
  }

  /**
   * Starts a program on one of the machines.
   *
   * @param {number} machine 0 or 1
   * @param {string} command
   * @param {readonly string[]} args
   * @param {import('node:child_process').SpawnOptions} options
   */
  start(machine, command, args, options) {
    return spawn('ip', ['netns', 'exec', this.#nameOf(machine), command, ...args], options);
  }

  /** @param {string} rate in each direction, as `tc` reads it: 1gbit */
  slow(rate) {
    for (const name of this.#names)
      quietly(
        'tc',
        '-n',
        name,
        ...`qdisc replace dev ${INTERFACE} root tbf rate ${rate} burst 256kb latency 100ms`.split(' '),
      );
  }

  /** @param {'down' | 'silent'} how `down`: the interface knows it. `silent`: what is sent goes nowhere, and nobody is told. */
  cut(how) {
    if (how === 'down') ip('-n', this.#nameOf(1), 'link', 'set', INTERFACE, 'down');
    else this.#neighbours('replace', 'lladdr', NOBODY, 'nud', 'permanent');
  }

  /** @param {'down' | 'silent'} how it was cut */
  mend(how) {
    if (how === 'down') ip('-n', this.#nameOf(1), 'link', 'set', INTERFACE, 'up');
    else this.#neighbours('delete');
  }

  remove() {
    process.off('exit', this.#removeAtExit);
    for (const signal of SIGNALS) process.off(signal, this.#removeAtSignal);
    for (const name of this.#names)
      try {
        ip('netns', 'delete', name);
      } catch {
        // It was never made.
      }
  }

  /** @param {string} action @param {string[]} rest */
  #neighbours(action, ...rest) {
    for (const machine of [0, 1])
      ip(
        '-n',
        this.#nameOf(machine),
        'neighbour',
        action,
        this.addresses[1 - machine] ?? '',
        'dev',
        INTERFACE,
        ...rest,
      );
  }

  /** @param {number} machine */
  #nameOf(machine) {
    return machine === 0 ? this.#names[0] : this.#names[1];
  }
}

/** An address that no interface has. */
const NOBODY = '02:00:00:00:00:01';

/** Why there can be none, for a line that says so; empty where there can. */
export function cannotMakeNetworks() {
  try {
    new TwoNetworks().remove();
    return '';
  } catch (error) {
    const said = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    return `no network namespaces here: ${said}`;
  }
}
