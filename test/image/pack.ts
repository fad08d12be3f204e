/** `node test/image/pack.ts NAME FILE`: packs what `make build` has built. */
import { join } from 'node:path';

import { packImage } from './image.ts';

const [name = 'fairlead:dev', file = '.cache/image/fairlead.tar'] = process.argv.slice(2);
const packed = packImage(join(import.meta.dirname, '../..'), name, file);
console.log(
  `${packed.file}  ${packed.name}  ${Math.round(packed.contentBytes / 1e6)} MB; ctr -n k8s.io images import ${packed.file}`,
);
