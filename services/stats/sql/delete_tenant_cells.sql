ALTER TABLE cells DELETE WHERE tenant = {tenant:String}
