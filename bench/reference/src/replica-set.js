// Makes the MongoDB server of MONGODB_HOST a replica set of one, and waits until it takes writes. Doing it twice is harmless.
import mongoose from 'mongoose'

const host = process.env.MONGODB_HOST
const deadline = Date.now() + 30_000
const client = await new mongoose.mongo.MongoClient(`mongodb://${host}/?directConnection=true`).connect()
const admin = client.db('admin')

try {
  await admin.command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host }] } })
} catch (error) {
  if (error.codeName !== 'AlreadyInitialized') throw error
}
while (!(await admin.command({ hello: 1 })).isWritablePrimary) {
  if (Date.now() > deadline) throw new Error('the replica set has no primary after 30 s')
  await new Promise((resolve) => setTimeout(resolve, 50))
}
await client.close()
