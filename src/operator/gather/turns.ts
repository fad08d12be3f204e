/** A queue in which namespaces take turns: however much one of them has put in, the others wait for one item of it at a time. */
export class Turns<T> {
  /** Of one namespace, from `head` on. The namespace whose turn it is comes first. */
  readonly #queues = new Map<string, { items: T[]; head: number }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(namespace: string, item: T): void {
    const queue = this.#queues.get(namespace);
    if (queue === undefined) this.#queues.set(namespace, { items: [item], head: 0 });
    else queue.items.push(item);
    this.#size++;
  }

  shift(): T | undefined {
    for (const [namespace, queue] of this.#queues) {
      this.#queues.delete(namespace);
      const item = queue.items[queue.head++];
      if (queue.head < queue.items.length) this.#queues.set(namespace, queue);
      this.#size--;
      return item;
    }
    return undefined;
  }
}
