import { expect, it } from 'vitest';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { visionPreset } from '../../src/models/vision/presets.js';
import { decaysInVision } from '../../src/train/image-decay.js';

function namesBy(mode: 'reference' | 'consistent'): { decayed: Set<string>; kept: Set<string> } {
  using model = createImageClassifier(visionPreset('vil-ls-tiny', { mode }));
  const [decayed, kept] = [new Set<string>(), new Set<string>()];
  for (const [name, parameter] of model.namedParameters()) {
    // Blocks of a stage are alike.
    const kind = name.replace(/^layer(\d)\.(\d+)\./, (_, stage, place) =>
      place === '0' ? `layer${stage}.0.` : `layer${stage}.${Number(place) % 2 === 1 ? 'attention' : 'mlp'}.`,
    );
    (decaysInVision(mode, name, parameter) ? decayed : kept).add(kind);
  }
  return { decayed, kept };
}

it('reference: DualLN, biases and kernels decay; norms, tokens, tables of displacements and the bias of the head do not (spec 4.6)', () => {
  const { decayed, kept } = namesBy('reference');
  const stage1 = (names: Set<string>) => [...names].filter((name) => name.startsWith('layer1.')).sort();
  expect(stage1(decayed)).toEqual([
    'layer1.0.proj.bias',
    'layer1.0.proj.weight',
    'layer1.attention.attn.dual_ln_dp.bias',
    'layer1.attention.attn.dual_ln_dp.weight',
    'layer1.attention.attn.dual_ln_full.bias',
    'layer1.attention.attn.dual_ln_full.weight',
    'layer1.attention.attn.proj.bias',
    'layer1.attention.attn.proj.weight',
    'layer1.attention.attn.qkv.bias',
    'layer1.attention.attn.qkv.weight',
    'layer1.attention.attn.to_dynamic_projection.bias',
    'layer1.attention.attn.to_dynamic_projection.weight',
    'layer1.mlp.mlp.fc1.bias',
    'layer1.mlp.mlp.fc1.weight',
    'layer1.mlp.mlp.fc2.bias',
    'layer1.mlp.mlp.fc2.weight',
  ]);
  expect(stage1(kept)).toEqual([
    'layer1.0.cls_token',
    'layer1.0.norm_embed.bias',
    'layer1.0.norm_embed.weight',
    'layer1.attention.attn.local_relative_position_bias_table',
    'layer1.attention.norm.bias',
    'layer1.attention.norm.weight',
    'layer1.mlp.norm.bias',
    'layer1.mlp.norm.weight',
  ]);
  expect([...kept].filter((name) => !name.startsWith('layer')).sort()).toEqual([
    'head.bias',
    'norm.bias',
    'norm.weight',
  ]);
  expect(decayed).toContain('head.weight');
});

it('consistent: matrices and kernels only', () => {
  const { decayed, kept } = namesBy('consistent');
  const last = [...decayed].map((name) => name.split('.').slice(-2).join('.'));
  expect([...new Set(last)].sort()).toEqual([
    'fc1.weight',
    'fc2.weight',
    'head.weight',
    'proj.weight',
    'qkv.weight',
    'to_dynamic_projection.weight',
  ]);
  expect([...kept].some((name) => /relative_position|cls_token/.test(name))).toBe(true);
});
