// In the place of the packages with which dockerode builds images by BuildKit: we build none.
const unused = () => {
  throw new Error('Coral builds no images; build them with `docker build`.');
};
export const loadSync = unused;
export class Server {
  constructor() {
    unused();
  }
}
