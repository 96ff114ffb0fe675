// In the place of the package ssh2.
export class Client {
  constructor() {
    throw new Error('Docker cannot be reached over SSH; use its socket or its TCP address.');
  }
}
