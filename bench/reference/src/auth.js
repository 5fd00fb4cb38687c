// Who is calling: registration, login, and the check of the bearer token.
import bcrypt from 'bcrypt'
import { Router } from 'express'
import jwt from 'jsonwebtoken'
import mongoose from 'mongoose'

const BCRYPT_ROUNDS = 10
const DUPLICATE_KEY = 11000

const User = mongoose.model(
  'User',
  new mongoose.Schema(
    {
      email: { type: String, required: true, unique: true, lowercase: true, trim: true },
      passwordHash: { type: String, required: true },
    },
    { timestamps: true },
  ),
)

export function authRoutes({ secret, expiresIn }) {
  const answer = (user) => ({
    user: { id: user.id, email: user.email },
    token: jwt.sign({ email: user.email }, secret, { subject: user.id, expiresIn }),
    tokenType: 'Bearer',
  })

  return Router()
    .post('/register', async (request, response) => {
      const credentials = parseCredentials(request.body)
      if (!credentials) return response.status(400).json({ message: 'An email and a password of 8 characters are required' })
      try {
        const passwordHash = await bcrypt.hash(credentials.password, BCRYPT_ROUNDS)
        response.status(201).json(answer(await User.create({ email: credentials.email, passwordHash })))
      } catch (error) {
        if (error.code !== DUPLICATE_KEY) throw error
        response.status(409).json({ message: 'That email is taken' })
      }
    })
    .post('/login', async (request, response) => {
      const credentials = parseCredentials(request.body)
      const user = credentials && (await User.findOne({ email: credentials.email }))
      if (!user || !(await bcrypt.compare(credentials.password, user.passwordHash))) {
        return response.status(401).json({ message: 'Invalid email or password' })
      }
      response.json(answer(user))
    })
}

export function requireToken(secret) {
  return (request, response, next) => {
    const [scheme, token] = (request.get('authorization') ?? '').split(' ')
    if (scheme !== 'Bearer' || !token) return response.status(401).json({ message: 'A bearer token is required' })
    try {
      request.userId = jwt.verify(token, secret, { algorithms: ['HS256'] }).sub
    } catch {
      return response.status(401).json({ message: 'The token is invalid or has expired' })
    }
    next()
  }
}

function parseCredentials(body) {
  const { email, password } = body ?? {}
  if (typeof email !== 'string' || !/^\S+@\S+$/.test(email)) return null
  if (typeof password !== 'string' || password.length < 8) return null
  return { email: email.trim().toLowerCase(), password }
}
