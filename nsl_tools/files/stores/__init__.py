"""Files behind a URL: object stores, HDFS and web servers, each by its package of fsspec."""
