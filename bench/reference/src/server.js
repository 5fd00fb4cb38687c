// Starts the service: settings from the environment, the database, the listener; drains on SIGTERM.
import mongoose from 'mongoose'

import { createApp } from './app.js'

const { MONGODB_URI, JWT_SECRET, JWT_EXPIRES_IN = '7d', PORT = '3001', HOST = '127.0.0.1' } = process.env
if (!MONGODB_URI || !JWT_SECRET) {
  console.error('MONGODB_URI and JWT_SECRET are required')
  process.exit(1)
}

await mongoose.connect(MONGODB_URI, { maxPoolSize: 100 })
// The unique indexes must exist before the first request, or a race at the start makes duplicates.
await Promise.all(Object.values(mongoose.models).map((model) => model.init()))

const server = createApp({ secret: JWT_SECRET, expiresIn: JWT_EXPIRES_IN }).listen(Number(PORT), HOST)

process.on('SIGTERM', () => {
  server.close()
  server.closeIdleConnections()
  setTimeout(() => server.closeAllConnections(), 2000).unref()
  server.on('close', () => mongoose.disconnect().finally(() => process.exit(0)))
})
