// The Express application: middleware, routes, and one place where an error becomes an answer.
import cors from 'cors'
import express from 'express'
import mongoose from 'mongoose'

import { authRoutes, requireToken } from './auth.js'
import { cartRoutes } from './cart.js'

const CONNECTED = 1

export function createApp({ secret, expiresIn }) {
  const app = express()
  app.disable('x-powered-by')
  // An answer that changes with every request gains nothing from a hash of its body.
  app.disable('etag')
  app.use(cors({ origin: ['http://localhost:5173'], credentials: true }))
  app.use(express.json({ limit: '256kb' }))

  app.get('/health', (_request, response) => {
    const connected = mongoose.connection.readyState === CONNECTED
    response.status(connected ? 200 : 503).json({
      status: 'Cart Service is running!',
      timestamp: new Date().toISOString(),
      database: connected ? 'connected' : 'disconnected',
    })
  })
  app.use('/auth', authRoutes({ secret, expiresIn }))
  app.use('/cart', requireToken(secret), cartRoutes())

  app.use((_request, response) => response.status(404).json({ message: 'Not found' }))
  app.use(answerError)
  return app
}

// Express knows an error handler by its four parameters.
function answerError(error, _request, response, _next) {
  const status = error.status ?? error.statusCode ?? 500
  if (status >= 500) console.error(error)
  response.status(status).json({ message: status >= 500 ? 'Internal server error' : error.message })
}
