/** Names of images, and what is read of one. */

/** `image` as it is asked for: without a tag or digest it gets the agent's version. */
export function referenceOf(image: string, version: string): string {
  const name = image.slice(image.lastIndexOf('/') + 1);
  // A tag may hold no `+`, which a version may.
  return image.includes('@') || name.includes(':') ? image : `${image}:${version.replaceAll('+', '_')}`;
}

/** The registry an image comes from, as Docker's configuration files name it. */
export function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/');
  const named = rest.length > 0 && (first.includes('.') || first.includes(':') || first === 'localhost');
  return named ? first : 'docker.io';
}

/** As `GET /images/NAME/json` tells it; what this runtime uses of it. */
export interface Image {
  readonly Id: string;
  readonly Config?: {
    readonly User?: string;
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
  } | null;
}
