// The published catalog backend of Backstage, unmodified, with one module of ours: entity providers that a control port drives.
// Run as a child: `node backend.mjs --config FILE`, with CONTROL_PORT, the names of the PROVIDERS, and the
// LOCATION_TYPES that can be registered.
//
//   POST /NAME   {"type":"full","entities":[{entity,locationKey}]} or {"type":"delta","added":[…],"removed":[{entityRef}]}

import { createServer } from 'node:http';
import { createBackend } from '@backstage/backend-defaults';
import { createBackendModule } from '@backstage/backend-plugin-api';
import { catalogLocationsExtensionPoint, catalogProcessingExtensionPoint } from '@backstage/plugin-catalog-node';

const connections = new Map();

const providers = process.env.PROVIDERS.split(',').map(name => ({
  getProviderName: () => name,
  connect: async connection => {
    connections.set(name, connection);
  },
}));

const drivenProviders = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'driven-providers',
  register(module) {
    module.registerInit({
      deps: { processing: catalogProcessingExtensionPoint, locations: catalogLocationsExtensionPoint },
      init: async ({ processing, locations }) => {
        locations.setAllowedLocationTypes(process.env.LOCATION_TYPES.split(','));
        providers.forEach(provider => processing.addEntityProvider(provider));
      },
    });
  },
});

createServer(async (request, response) => {
  try {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    await connections.get(request.url.slice(1)).applyMutation(JSON.parse(Buffer.concat(pieces)));
    response.writeHead(200).end();
  } catch (error) {
    response.writeHead(500).end(`${error.stack}`);
  }
}).listen(Number(process.env.CONTROL_PORT), '127.0.0.1');

const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(import('@backstage/plugin-catalog-backend-module-unprocessed'));
backend.add(drivenProviders);
await backend.start();
