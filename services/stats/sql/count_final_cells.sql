-- Whether anything was ever published into this store.
SELECT count() AS cells FROM cells WHERE provisional = 0
