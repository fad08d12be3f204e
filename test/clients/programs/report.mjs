// What every program here is told, and how it says what it got: a line of JSON for each client and model.
export const origin = process.env.FAIRLEAD_ORIGIN;
export const models = process.env.FAIRLEAD_MODELS.split(',');

export async function report(client, model, work) {
  let line;
  try {
    line = { client, model, ...(await work()) };
  } catch (error) {
    line = { client, model, error: String(error?.stack ?? error), body: error?.responseBody };
  }
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
