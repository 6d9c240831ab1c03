import { defineConfig } from 'vite';

// Cross-origin isolated, so that WebAssembly may have threads.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  base: './',
  // The page fetches its model from `onnx/`. In a project of your own: public/onnx, which `transformer-ls export` has written.
  publicDir: '../../models/film-reviews',
  build: { target: 'es2022' },
  server: { headers },
  preview: { headers },
});
