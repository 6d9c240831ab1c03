// Which characters of the sources have run since the beginning, by V8's own counters of blocks.
import { Session } from 'node:inspector';

/** What is fuzzed: our sources, and the packages that read files for them. */
const WATCHED = /\/packages\/[a-z-]+\/src\/|\/node_modules\/(?:modern-tar|yauzl|hyparquet|@bufbuild)\//;

export class Coverage {
  #session = new Session();
  /** By script: 1 for each character that has run. */
  #seen = new Map();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last look, as characters that never ran before; `learn` counts them as seen from now on. */
  fresh({ learn }) {
    let count = 0;
    for (const { scriptId, url, functions } of this.#post('Profiler.takePreciseCoverage').result)
      if (WATCHED.test(url)) count += this.#freshIn(scriptId, functions, learn);
    return count;
  }

  /** Characters that have run. */
  get size() {
    let size = 0;
    for (const seen of this.#seen.values()) for (const bit of seen) size += bit;
    return size;
  }

  #freshIn(scriptId, functions, learn) {
    const ranges = functions.flatMap((one) => one.ranges);
    const length = ranges.reduce((most, { endOffset }) => Math.max(most, endOffset), 0);
    // Inner functions and blocks come after those around them.
    const now = new Uint8Array(length);
    for (const { startOffset, endOffset, count } of ranges)
      now.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    let seen = this.#seen.get(scriptId) ?? new Uint8Array(0);
    if (learn && seen.length < length) {
      const longer = new Uint8Array(length);
      longer.set(seen);
      seen = longer;
      this.#seen.set(scriptId, seen);
    }
    let fresh = 0;
    for (let i = 0; i < length; i += 1) {
      if (now[i] === 0 || seen[i] === 1) continue;
      fresh += 1;
      if (learn) seen[i] = 1;
    }
    return fresh;
  }

  /** The profiler answers before `post` returns. */
  #post(method, parameters) {
    let answer;
    this.#session.post(method, parameters, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  }
}
