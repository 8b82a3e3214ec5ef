ALTER TABLE cells_staging DELETE WHERE tenant = {tenant:String}
