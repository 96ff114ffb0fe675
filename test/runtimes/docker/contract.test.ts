import { runtimeContract } from '../../contracts/runtime.ts';
import { describeDocker } from '../../support/docker.ts';
import { dockerWorld } from './world.ts';

describeDocker('with a Docker Engine', () => {
  runtimeContract('the Docker runtime', () => dockerWorld());
});
