/** `make cluster-down`: ends the cluster of this checkout, and leaves nothing of it. */
import { CHECKOUT } from './cluster.ts';
import { lastingPlaces, leavePlace } from './place.ts';

const places = lastingPlaces(CHECKOUT);
for (const place of places) leavePlace(place);
console.log(places.length === 0 ? 'no cluster of this checkout is running' : 'the cluster is gone');
