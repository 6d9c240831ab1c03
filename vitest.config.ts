import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (name: string) => fileURLToPath(new URL(`./packages/${name}/src/index.ts`, import.meta.url));

// Tests run the TypeScript sources, not the built files, so a stale build can never hide a failure.
// Suites that load the native add-on need a process of their own: hence forks, not threads.
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@transformer-ls\/formats$/, replacement: source('formats') },
      { find: /^@transformer-ls\/torch$/, replacement: source('torch') },
      { find: /^@transformer-ls\/runtime$/, replacement: source('runtime') },
      {
        find: /^@transformer-ls\/formats\/onnx$/,
        replacement: fileURLToPath(new URL('./packages/formats/src/onnx/index.ts', import.meta.url)),
      },
      {
        find: /^#platform$/,
        replacement: fileURLToPath(new URL('./packages/runtime/src/platform-node.ts', import.meta.url)),
      },
      { find: /^transformer-ls$/, replacement: source('transformer-ls') },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
    exclude: process.env.TLS_TEST_FULL ? [] : ['**/*.full.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 0,
    hookTimeout: 0,
  },
});
