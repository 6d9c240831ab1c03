// Writes checkpoints and best checkpoints one after the other until it is killed. Every byte follows from the step, so
// that the test knows what each checkpoint must hold. Arguments: address of src/run/, run folder.
const [, , sources, folder] = process.argv;
const { readNewestCheckpoint, removeUnfinishedCheckpoints, writeCheckpoint } = await import(
  `${sources}checkpoint.js`
);
const { contentOfStep } = await import(new URL('./content-of-step.mjs', import.meta.url).href);

const checkpoints = `${folder}/checkpoints`;
const best = `${folder}/best`;
await removeUnfinishedCheckpoints(checkpoints);
await removeUnfinishedCheckpoints(best);
const { newest } = await readNewestCheckpoint(checkpoints);
process.send('started');
for (let step = (newest?.step ?? 0) + 1; ; step++) {
  await writeCheckpoint(checkpoints, contentOfStep(step));
  process.send(`saved ${step}`);
  await writeCheckpoint(best, contentOfStep(step), { keep: 1 });
  process.send(`best ${step}`);
}
