/** `fairlead validate`: everything that is wrong with the files, without serving them. */
import { configure } from './configuration.ts';
import type { Finding } from './findings.ts';
import { ExitCode, type Io } from './io.ts';
import { type DataFormat, printData } from './output.ts';
import { objectLabel, readObjects } from './read-objects.ts';
import { countFindings, printFindings } from './report.ts';
import { counted, styleFor } from './style.ts';

export interface ValidateOptions {
  readonly files: readonly string[];
  /** null: for a person. */
  readonly output: DataFormat | null;
}

/**
 * Valid: every object parses and is accepted. What objects refer to may be elsewhere (in the cluster, in the environment), so a
 * reference that does not resolve is a warning.
 */
export async function validate(io: Io, { files, output }: ValidateOptions): Promise<ExitCode> {
  const read = await readObjects(files, io);
  const { findings } = configure(read.objects, read.problems, { where: 'Cluster' });
  const empty = read.objects.length === 0 && read.problems.length === 0;
  const all = empty ? [...findings, NOTHING] : findings;
  const valid = all.every(({ severity }) => severity !== 'error');
  if (output !== null) {
    printData(io, output, {
      valid,
      objects: read.objects.map(({ object, source }) => ({ object: objectLabel(object), file: source.file, line: source.line })),
      findings: all,
    });
  } else {
    printFindings(io, all);
    const style = styleFor(io.stdout, io.env);
    const counts = countFindings(all);
    const verdict = valid ? style.green('valid') : style.red('invalid');
    io.stdout.write(`${verdict}: ${counted(read.objects.length, 'object')} read${counts === '' ? '' : `, ${counts}`}\n`);
  }
  return valid ? ExitCode.Ok : ExitCode.Failed;
}

const NOTHING: Finding = {
  severity: 'error',
  file: null,
  line: null,
  object: null,
  path: '',
  reason: 'Empty',
  message: 'the files have no objects in them',
};
