// Shows the shop's own OpenAPI document. Nothing is loaded from elsewhere, so the validator badge is off.
window.addEventListener('load', () => {
  window.ui = SwaggerUIBundle({
    url: '/openapi.json',
    dom_id: '#swagger-ui',
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    docExpansion: 'none',
    displayRequestDuration: true,
    filter: true,
    validatorUrl: null,
  })
})
