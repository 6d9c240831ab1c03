// Run with --expose-gc by collector.test.ts: prints what becomes of tensors that nobody frees.
const torch = await import(process.argv[2]);
const { native } = await import(new URL('./load.js', `file://${process.argv[2]}`));
// What V8 was told of; process.memoryUsage().external counts array buffers only.
const reported = () => native().adjustExternalMemory(0);
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

async function settle(until) {
  for (let i = 0; i < 50 && !until(); i++) {
    globalThis.gc();
    await turn();
  }
}

const live = () => torch.memoryStats().liveTensors;
const report = {};

function forget() {
  for (let i = 0; i < 50; i++) torch.zeros([1000]);
}
forget();
report.afterCreation = live();
await settle(() => live() === 0);
report.afterCollection = live();

function forgetKept() {
  torch.scope(() => {
    torch.keep([torch.zeros([10]), torch.zeros([10])]);
  });
}
forgetKept();
report.kept = live();
await settle(() => live() === 0);
report.keptAfterCollection = live();

const held = torch.zeros([8 * 2 ** 20]); // 32 MiB
const before = reported();
await turn();
report.reportedBytes = reported() - before;
const value = held.sum().item();
globalThis.gc();
await turn();
report.heldSurvives = value === held.sum().item() && !held.isDisposed;
const withHeld = reported();
held.dispose();
report.returnedBytes = withHeld - reported();

// V8 must collect by itself: 60 tensors of 32 MiB would be 1.9 GB.
torch.resetPeakMemory();
for (let i = 0; i < 60; i++) {
  torch.ones([8 * 2 ** 20]);
  await turn();
}
report.peakMiB = torch.memoryStats().peakAllocatedBytes / 2 ** 20;

// Tensors disposed in the turn that made them leave nothing behind.
for (let i = 0; i < 5000; i++) torch.zeros([4]).dispose();
await turn();
await settle(() => live() === 0);
report.afterAll = live();

const shared = torch.ones([1000]).share();
await settle(() => live() === 0);
report.sharedAfterCollection = [shared[0], shared[999], live()];
console.log(JSON.stringify(report));
