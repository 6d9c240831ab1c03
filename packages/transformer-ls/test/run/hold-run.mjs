// Opens a run folder and holds it until it is killed or told to close. Arguments: address of src/run/, run folder.
const [, , sources, folder] = process.argv;
const { resumeRun } = await import(`${sources}run-folder.js`);
try {
  const run = await resumeRun(folder, { onProblem: () => undefined });
  process.send('holding');
  process.once('message', async () => {
    await run.close();
    process.disconnect();
  });
} catch (error) {
  process.send(error.message);
  process.disconnect();
}
