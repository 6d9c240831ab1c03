/** Gives tests the runtime of a real browser: what they ask for goes through `window.runtime`. */
import * as runtime from '@transformer-ls/runtime';

declare global {
  interface Window {
    runtime: typeof runtime;
  }
}

window.runtime = runtime;
