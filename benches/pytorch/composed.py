"""The causal Transformer-LS language model in plain eager PyTorch, in both forms, as a baseline for speed.

Written for this benchmark: the same parameter names and the same numbers as packages/transformer-ls, the operators a PyTorch
programmer would choose. It takes what a training run feeds: segments of whole chunks, and of whole windows or less than one.

Shape letters: B batch, T tokens, W window, c chunk size, R rank, D width, N heads, H head size, m chunks in memory, G tiles.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def sinusoids(positions, modelDim):
    frequencies = 10000.0 ** -(torch.arange(0, modelDim, 2, dtype=torch.float32) / modelDim)
    angles = positions.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


def descending(count, clamp):
    distances = torch.arange(count - 1, -1, -1)
    return distances if clamp is None else distances.clamp(max=clamp)


def shift_right(x, step):
    """(…, rows, V) to (…, rows, V + step*(rows-1)): row i begins step*i columns later, -inf elsewhere."""
    rows, values = x.shape[-2:]
    width = values + step * (rows - 1)
    flat = F.pad(x, (0, step * rows), value=float("-inf")).flatten(-2)
    return flat[..., : rows * width].unflatten(-1, (rows, width))


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        D, N, R, bias = (config[k] for k in ("modelDim", "heads", "projectionRank", "projectionBiases"))
        self.N, self.R, self.H = N, R, D // N
        self.W, self.c, self.M = config["windowSize"], config["chunkSize"], config["memoryLength"]
        self.r_r_bias = nn.Parameter(torch.empty(1, N, 1, self.H))
        self.r_w_bias = nn.Parameter(torch.empty(1, N, 1, 1, self.H))
        self.dconv_1 = nn.Linear(D, N * R)
        self.r_net = nn.Linear(D, D, bias=False)
        self.r_net_chunk = nn.Linear(D, D)
        self.proj_query, self.proj_key, self.proj_val, self.proj_out = (nn.Linear(D, D, bias) for _ in range(4))
        self.dual_ln_dproj = nn.LayerNorm(D)
        self.dual_ln_win = nn.LayerNorm(D)

    def heads(self, x):
        return x.unflatten(-1, (self.N, self.H)).transpose(1, 2)

    def compress(self, x, weights):
        """(B, n*c, D) and weights (B, N, n, R, c) to (B, n*R, D)."""
        chunks = x.unflatten(1, (-1, self.c)).unflatten(-1, (self.N, self.H)).permute(0, 3, 1, 2, 4)
        return (weights @ chunks).permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)

    def chunk_weights(self, hidden):
        logits = self.dconv_1(hidden).unflatten(1, (-1, self.c)).unflatten(-1, (self.N, self.R))
        return logits.permute(0, 3, 1, 4, 2).softmax(-1)

    def attend(self, query, window, chunks, windowPositions, chunkPositions, missing=0):
        """Queries (B, N, T, H); keys and values of the W-1 tokens before them (the first `missing` ones do not exist) and
        of their own; keys and values of every chunk that some query sees."""
        (windowKeys, windowValues), (chunkKeys, chunkValues) = window, chunks
        B, N, T, H = query.shape
        W, c = self.W, self.c
        S = min(T, W)
        tiles = query.view(B, N, T // S, S, H)
        tiled = lambda x: x.unfold(1, S + W - 1, S).unflatten(2, (N, H)).transpose(1, 2)  # (B, N, G, H, S+W-1)
        scores = (tiles + self.r_w_bias) @ tiled(windowKeys)
        width = scores.size(-1)
        strides = (*scores.stride()[:3], width + 1, 1)
        diagonals = scores.as_strided((B, N, T // S, S, W), strides).reshape(B, N, T, W)
        positions = self.r_net(windowPositions).view(W, N, H).permute(1, 2, 0)
        near = diagonals + (query + self.r_r_bias) @ positions
        if missing > 0:
            near = near.masked_fill(torch.arange(W) < missing - torch.arange(T)[:, None], float("-inf"))

        ids = self.r_net_chunk(chunkPositions).view(-1, N, H).permute(1, 2, 0)
        byId = (query @ ids).view(B, N, T // c, c, -1).transpose(2, 3)
        placed = shift_right(byId, self.R)[..., -chunkKeys.size(1) :].transpose(2, 3)
        far = (query @ self.heads(chunkKeys).transpose(-1, -2)).view(B, N, T // c, c, -1) + placed

        weights = torch.cat([far.view(B, N, T, -1), near], -1).softmax(-1)
        toChunks, toWindow = weights.split([chunkKeys.size(1), W], -1)
        spread = F.pad(toWindow.view(B, N, T // S, S, W), (0, S)).flatten(-2)[..., : S * width]
        fromWindow = spread.unflatten(-1, (S, width)) @ tiled(windowValues).transpose(-1, -2)
        output = fromWindow.view(B, N, T, H) + toChunks @ self.heads(chunkValues)
        return self.proj_out(output.transpose(1, 2).flatten(2))

    def query(self, x):
        return self.heads(self.proj_query(x)) * (1 / math.sqrt(self.H))


class ConsistentAttention(Attention):
    def forward(self, x, memory, windowPositions, chunkPositions):
        pastKeys, pastValues, pastChunkKeys, pastChunkValues = memory
        keys, values = self.proj_key(x), self.proj_val(x)
        windowKeys = torch.cat([pastKeys, self.dual_ln_win(keys)], 1)
        windowValues = torch.cat([pastValues, self.dual_ln_win(values)], 1)
        weights = self.chunk_weights(x)
        chunkKeys = torch.cat([pastChunkKeys, self.dual_ln_dproj(self.compress(keys, weights))], 1)
        chunkValues = torch.cat([pastChunkValues, self.dual_ln_dproj(self.compress(values, weights))], 1)
        visible = chunkKeys.size(1) - self.R
        reach = min(self.M // self.c * self.R, visible)
        missing = self.W - 1 - pastKeys.size(1)
        output = self.attend(
            self.query(x),
            (F.pad(windowKeys, (0, 0, missing, 0)), F.pad(windowValues, (0, 0, missing, 0))),
            (chunkKeys[:, :visible], chunkValues[:, :visible]),
            windowPositions,
            chunkPositions[-reach:],
            missing,
        )
        kept = self.M // self.c * self.R
        last = lambda x, count: x[:, max(0, x.size(1) - count) :].detach()
        window = last(windowKeys, self.W - 1), last(windowValues, self.W - 1)
        return output, (*window, last(chunkKeys, kept), last(chunkValues, kept))


class ReferenceAttention(Attention):
    def forward(self, h, cache, windowPositions, chunkPositions):
        keys, values = self.proj_key(h), self.proj_val(h)
        tail = cache[:, 1 - self.W :]
        windowKeys = self.dual_ln_win(torch.cat([self.proj_key(tail), keys], 1))
        windowValues = self.dual_ln_win(torch.cat([self.proj_val(tail), values], 1))
        cached = self.compress(cache, self.chunk_weights(cache))
        weights = self.chunk_weights(h)
        chunkKeys = torch.cat([self.proj_key(cached), self.compress(keys, weights)], 1)
        chunkValues = torch.cat([self.proj_val(cached), self.compress(values, weights)], 1)
        visible = chunkKeys.size(1) - self.R  # no query sees the segment's last chunk
        return self.attend(
            self.query(h),
            (windowKeys, windowValues),
            (self.dual_ln_dproj(chunkKeys[:, :visible]), self.dual_ln_dproj(chunkValues[:, :visible])),
            windowPositions,
            chunkPositions[-visible:],
        )


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc1 = nn.Linear(config["modelDim"], config["innerDim"])
        self.fc2 = nn.Linear(config["innerDim"], config["modelDim"])

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, config, attention):
        super().__init__()
        self.attn = attention(config)
        self.norm1 = nn.LayerNorm(config["modelDim"])
        self.norm2 = nn.LayerNorm(config["modelDim"])
        self.ff = FeedForward(config)


class Model(nn.Module):
    loss = staticmethod(F.cross_entropy)

    def __init__(self, config, attention):
        super().__init__()
        self.config = config
        D, V = config["modelDim"], config["vocabularySize"]
        self.in_emb = nn.Embedding(V, D)
        self.layers = nn.ModuleList(Block(config, attention) for _ in range(config["layers"]))
        self.out_emb = nn.Linear(D, V)
        self.out_emb.weight = self.in_emb.weight

    def embed(self, ids):
        return self.in_emb(ids) * math.sqrt(self.config["modelDim"])

    def positions(self, count, clamp):
        return sinusoids(descending(count, clamp), self.config["modelDim"])


class ConsistentModel(Model):
    def __init__(self, config):
        super().__init__(config, ConsistentAttention)
        count = config["memoryLength"] // config["chunkSize"] * config["projectionRank"]
        window = self.positions(config["windowSize"], config["windowPositionClamp"])
        self.register_buffer("window_positions", window, persistent=False)
        chunks = self.positions(count, config["chunkPositionClamp"])
        self.register_buffer("chunk_positions", chunks, persistent=False)
        self.norm = nn.LayerNorm(config["modelDim"])

    def empty_memory(self, batch):
        nothing = torch.zeros(batch, 0, self.config["modelDim"])
        return [(nothing,) * 4 for _ in self.layers]

    def forward(self, ids, memory):
        x = self.embed(ids)
        carried = []
        for block, before in zip(self.layers, memory):
            attended, after = block.attn(block.norm1(x), before, self.window_positions, self.chunk_positions)
            x = x + attended
            x = x + block.ff(block.norm2(x))
            carried.append(after)
        return self.out_emb(self.norm(x)), carried


class ReferenceModel(Model):
    def __init__(self, config):
        super().__init__(config, ReferenceAttention)
        self.pos_emb = nn.Module()
        self.pos_emb.register_buffer("inv_freq", torch.empty(config["modelDim"] // 2))

    def empty_memory(self, batch):
        return [torch.zeros(batch, self.config["memoryLength"], self.config["modelDim"]) for _ in self.layers]

    def forward(self, ids, memory):
        config = self.config
        chunks = (ids.size(1) + config["memoryLength"]) // config["chunkSize"] * config["projectionRank"]
        windowPositions = self.positions(config["windowSize"], config["windowPositionClamp"])
        chunkPositions = self.positions(chunks, config["chunkPositionClamp"])
        x = self.embed(ids)
        carried = []
        for block, cache in zip(self.layers, memory):
            carried.append(torch.cat([cache, x.detach()], 1)[:, -config["memoryLength"] :])
            h = block.norm1(x)
            h = block.norm2(h + block.attn(h, block.norm1(cache), windowPositions, chunkPositions))
            x = h + block.ff(h)
        return self.out_emb(x), carried
