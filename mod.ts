/**
 * Reinforcement learning with verifiable rewards for small language models, on WebGPU: generation,
 * rewards, the ΔL-normalised policy gradient and the optimizer, with the whole step on the GPU.
 *
 * @module
 */

export {};
