/** What a pull's many events come to for a person: one line every now and then. */

interface Layer {
  current: number;
  total: number;
  done: boolean;
}

/** The progress of one pull. */
export class PullProgress {
  private readonly layers = new Map<string, Layer>();
  private last = '';
  private toldAt: number;

  constructor(
    private readonly reference: string,
    private readonly tell: (text: string) => void,
    private readonly everyMs: number,
  ) {
    this.toldAt = performance.now();
  }

  /** Takes one event of the engine; true when it is news. */
  take(event: Readonly<Record<string, unknown>>): boolean {
    const { id, status, progressDetail } = event;
    const { current = 0, total = 0 } = (progressDetail ?? {}) as { current?: number; total?: number };
    const signature = `${String(id)} ${String(status)} ${current}`;
    if (typeof id !== 'string' || typeof status !== 'string') {
      const isNews = this.last !== signature;
      this.last = signature;
      return isNews;
    }
    const layer = this.layers.get(id) ?? { current: -1, total: 0, done: false };
    const isNews = layer.current !== current || this.last !== signature;
    this.last = signature;
    if (status === 'Downloading') Object.assign(layer, { current, total });
    if (/^(Pull complete|Already exists|Download complete)$/.test(status)) {
      layer.done ||= status !== 'Download complete';
      layer.current = layer.total;
    }
    if (
      /^(Pulling fs layer|Waiting|Downloading|Verifying Checksum|Download complete|Extracting|Pull complete|Already exists)$/.test(
        status,
      )
    )
      this.layers.set(id, layer);
    this.speak();
    return isNews;
  }

  private speak(): void {
    const now = performance.now();
    if (now - this.toldAt < this.everyMs || this.layers.size === 0) return;
    this.toldAt = now;
    const layers = [...this.layers.values()];
    const done = layers.filter((layer) => layer.done).length;
    const current = layers.reduce((sum, layer) => sum + Math.max(0, layer.current), 0);
    const total = layers.reduce((sum, layer) => sum + layer.total, 0);
    this.tell(
      `Pulling the image ${this.reference}: ${done} of ${layers.length} layers, ${megabytes(current)} of ${megabytes(total)} MB.`,
    );
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
