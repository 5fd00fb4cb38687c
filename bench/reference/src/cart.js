// The cart: one document a shopper, changed by read, modify, save.
//
// `optimisticConcurrency` makes save() refuse a cart that changed since it was read, and `change` then tries again:
// without it two adds at the same moment lose one of the two.
import { Router } from 'express'
import mongoose from 'mongoose'

const MAX_QUANTITY = 999
const MAX_LINES = 100
const MAX_ATTEMPTS = 20
const DUPLICATE_KEY = 11000

const lineSchema = new mongoose.Schema(
  {
    productId: { type: String, required: true },
    productName: { type: String, required: true },
    price: { type: Number, required: true, min: 0 },
    quantity: { type: Number, required: true, min: 1, max: MAX_QUANTITY },
    image: { type: String, default: '' },
  },
  { _id: false },
)

const cartSchema = new mongoose.Schema(
  {
    userId: { type: String, required: true, unique: true },
    items: { type: [lineSchema], default: [] },
    totalAmount: { type: Number, default: 0 },
  },
  { timestamps: true, optimisticConcurrency: true },
)

// In cents, so that 0.1 and 0.2 total 0.3.
cartSchema.pre('save', function computeTotal() {
  const cents = this.items.reduce((sum, line) => sum + Math.round(line.price * 100) * line.quantity, 0)
  this.totalAmount = cents / 100
})

const Cart = mongoose.model('Cart', cartSchema)

class Refusal extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

export function cartRoutes() {
  return Router()
    .post('/add-to-cart', async (request, response) => {
      const line = parseLine(request.body)
      const cart = await change(request.userId, (cart) => addLine(cart, line))
      response.json({ message: 'Item added to cart', cart })
    })
    .get('/get-cart/:userId', async (request, response) => {
      const { userId } = request.params
      if (userId !== request.userId) throw new Refusal(403, 'That is not your cart')
      const cart = await Cart.findOne({ userId }).lean()
      response.json(cart ?? { userId, items: [], totalAmount: 0 })
    })
    .put('/update-item', async (request, response) => {
      const productId = parseText(request.body?.productId, 'productId')
      const quantity = parseQuantity(request.body?.quantity, 0)
      const cart = await change(request.userId, (cart) => setQuantity(cart, productId, quantity))
      response.json({ message: 'Cart updated', cart })
    })
    .delete('/remove-item', async (request, response) => {
      const productId = parseText(request.body?.productId ?? request.query.productId, 'productId')
      const cart = await change(request.userId, (cart) => setQuantity(cart, productId, 0))
      response.json({ message: 'Item removed from cart', cart })
    })
    .delete('/clear', async (request, response) => {
      await change(request.userId, (cart) => cart.set('items', []))
      response.json({ message: 'Cart cleared successfully' })
    })
}

async function change(userId, modify) {
  for (let attempt = 1; ; attempt += 1) {
    const cart = (await Cart.findOne({ userId })) ?? new Cart({ userId })
    modify(cart)
    try {
      return await cart.save()
    } catch (error) {
      const lostARace = error.name === 'VersionError' || error.code === DUPLICATE_KEY
      if (!lostARace || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

function addLine(cart, line) {
  const present = cart.items.find((item) => item.productId === line.productId)
  if (present && present.quantity + line.quantity > MAX_QUANTITY) throw new Refusal(400, 'Too many of one product')
  if (present) {
    present.quantity += line.quantity
    return
  }
  if (cart.items.length === MAX_LINES) throw new Refusal(400, 'Too many lines')
  cart.items.push(line)
}

function setQuantity(cart, productId, quantity) {
  const present = cart.items.find((item) => item.productId === productId)
  if (!present) throw new Refusal(404, 'That product is not in the cart')
  if (quantity > 0) present.quantity = quantity
  else cart.items.pull(present)
}

function parseLine(body) {
  const { price, image } = body ?? {}
  if (typeof price !== 'number' || !(price >= 0)) throw new Refusal(400, 'price must be a number of zero or more')
  return {
    productId: parseText(body.productId, 'productId'),
    productName: parseText(body.productName, 'productName'),
    price,
    quantity: parseQuantity(body.quantity ?? 1, 1),
    image: image === undefined ? '' : parseText(image, 'image'),
  }
}

function parseText(value, name) {
  if (typeof value !== 'string' || value === '' || value.length > 1000) throw new Refusal(400, `${name} is required`)
  return value
}

function parseQuantity(value, least) {
  if (!Number.isInteger(value) || value < least || value > MAX_QUANTITY) {
    throw new Refusal(400, `quantity must be an integer from ${least} to ${MAX_QUANTITY}`)
  }
  return value
}
