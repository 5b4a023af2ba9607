"""Any metric of pyiqa, on torch; the only place that imports either."""
